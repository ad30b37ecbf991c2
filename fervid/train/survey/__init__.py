"""Compare the surveys' systems on the same clips, with the same people held out, in one table.

`systems` lists the systems, `rows` trains, evaluates and times them, and `table` ranks them.
"""
