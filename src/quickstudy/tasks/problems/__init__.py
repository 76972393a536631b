"""Problems for optimizers to be trained on."""
