"""Jobs: long pieces of work, each a row in Postgres, run under a lease by whichever worker gets to it."""
