"""One module a contender: it judges the file it is given and prints what it found, in an environment of its own."""
