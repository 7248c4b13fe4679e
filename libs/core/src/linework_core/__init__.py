"""What every Linework service shares. This package never imports torch."""
