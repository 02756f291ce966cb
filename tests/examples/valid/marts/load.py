def run(date, batch=1):
    return batch
