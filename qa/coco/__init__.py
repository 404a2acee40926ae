"""The model's reading of boxes: COCO's average precision and recall, compiled for the CPU and as tensors for CUDA."""
