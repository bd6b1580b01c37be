"""Use outside the workflow: trained segmenters as folders that stand alone, and their masks."""
