"""Many sessions as one table, kept in a cache beside their files."""
