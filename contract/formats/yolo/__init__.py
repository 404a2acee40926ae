"""YOLO label files, in the layouts of Ultralytics and darknet."""
