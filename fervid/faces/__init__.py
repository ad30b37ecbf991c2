"""Finding faces, placing landmarks and following both through a shot: the only user of dlib."""
