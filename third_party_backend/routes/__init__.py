"""What is served; one module for each service of OICP that the hub calls, and health."""
