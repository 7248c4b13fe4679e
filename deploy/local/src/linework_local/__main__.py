from linework_local.cli import app

app()
