print("mart")
