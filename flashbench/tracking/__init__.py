"""Points, objects and masks found again in a video. One tracker a file; `protocol` says what each gives back."""
