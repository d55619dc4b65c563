"""RVC: speech in, the same speech in another voice out."""
