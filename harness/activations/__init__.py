"""What is measured at a site, and the arrays that are stored. No model is needed here."""
