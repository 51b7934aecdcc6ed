"""From a valid experiment file to what is run: functions, devices, points of sweeps."""
