"""The logistic regression of the bought labels that generators begin with."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from lit_react.core.logistic_regression import LinearClassifier


def logistic_regression(inputs: NDArray[np.float32], classes: NDArray[np.int64], l2: float) -> LinearClassifier:
    """Fit scikit-learn's `LogisticRegression(C=1/l2)`, exactly where `fit_logistic_regression` is fast.

    Inputs are float32 [n, d], classes int64 [n], in which each of 0 … K-1 occurs. Gives weight float32 [d, K] and bias
    [K], of a softmax also where K is 2.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The number of unique classes")  # many classes and few labels are no mistake
        fitted = LogisticRegression(C=1 / l2, max_iter=300).fit(inputs, classes)
    weight, bias = fitted.coef_, fitted.intercept_
    if len(weight) == 1:  # one row that speaks for class 1; a softmax wants one for each class
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return LinearClassifier(weight.astype(np.float32).T, bias.astype(np.float32))
