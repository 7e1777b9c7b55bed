"""From a recipe and a case table to a trained model: one loop on Lightning Fabric."""
