"""Networks: backbones, the classifier on them, and trained ones read back."""
