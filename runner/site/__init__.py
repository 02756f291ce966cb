"""What a site keeps apart from its pipelines, in files of RUNNER_HOME with mode 0600: secrets, variables, connections."""
