"""Critics: what turns states into values, one file each."""
