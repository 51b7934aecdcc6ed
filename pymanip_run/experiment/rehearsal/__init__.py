"""What a run will do or would have done, told without one: forecast, rehearsal, replay."""
