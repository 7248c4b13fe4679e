"""The trainer: encoders are trained on a corpus and compared on it, each as a job."""
