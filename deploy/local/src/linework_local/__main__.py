import os

from linework_local.cli import app

if __name__ == "__main__":  # processes that draw the sample corpus import this module, too
    os.umask(0o077)  # what a stack keeps is its owner's alone
    app()
