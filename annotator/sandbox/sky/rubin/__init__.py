"""What Rubin would see: visits in six bands, differences against templates, sources and forced photometry."""
