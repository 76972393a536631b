"""Tables as people have them: files and DataFrames of numbers, categories, dates, text and gaps."""
