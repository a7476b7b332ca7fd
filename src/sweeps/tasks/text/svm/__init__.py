"""SVC on sparse text: a solver that takes the steps of LIBSVM on rows of dot products."""
