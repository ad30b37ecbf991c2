"""What several commands share: options, output, messages, progress."""
