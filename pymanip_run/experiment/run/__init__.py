"""Running what was built: the devices, the tasks, and what is looked at beside them."""
