"""Reading patents, drawings and their images; withdrawing patents."""
