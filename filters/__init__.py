"""The SQL filters; read through `annotator.filter_files`."""
