from linework_local.cli import app

if __name__ == "__main__":  # processes that draw the sample corpus import this module, too
    app()
