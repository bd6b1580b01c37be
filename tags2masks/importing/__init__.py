"""Import of other programs' data sets as a folder with a table of tags: a module per format."""
