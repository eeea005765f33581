"""The forms in which rows come in: JSON lines, CSV and Parquet, each read in pieces, whatever its size."""
