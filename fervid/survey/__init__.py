"""The surveys' systems side by side: the same clips, the same people held out, one table.

`systems` lists what is compared, `rows` trains, scores and times one system after the other, `table` ranks
them and tells which cannot be told apart.
"""
