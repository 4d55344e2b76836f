"""The statistics of experiments, once more, from their textbooks and in another way than the SQL.

- Two-proportion z test with a pooled rate, Wald interval: Agresti, Categorical Data Analysis, 3.1.
- Interval of a ratio by its logarithm: Katz et al., Biometrics 34 (1978); of two means by the
  delta method.
- Welch's t test: Welch, Biometrika 34 (1947), with Student's t as a regularized incomplete beta
  function (Numerical Recipes, 6.4) and its quantile by bisection.
- Pearson's chi-square, as a regularized incomplete gamma function by its series (6.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from math import erf, exp, lgamma, log, log1p, sqrt
from statistics import NormalDist, variance

Z = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Sample:
    """One variant: what each of its visitors spent, and how many of them ordered."""

    revenue: list[Decimal]
    converted: int

    @property
    def size(self) -> int:
        return len(self.revenue)

    @property
    def rate(self) -> float:
        return self.converted / self.size

    @property
    def mean(self) -> float:
        return float(sum(self.revenue)) / self.size

    @property
    def mean_variance(self) -> float:
        """The squared standard error of the mean."""
        return float(variance(self.revenue)) / self.size


def normal_p_value(score: float) -> float:
    """Return the two-sided p-value of a standard normal score."""
    return 1 - erf(abs(score) / sqrt(2))


def student_p_value(t: float, degrees: float) -> float:
    """Return the two-sided p-value of Student's t."""
    return incomplete_beta(degrees / 2, 0.5, degrees / (degrees + t * t))


def student_quantile(degrees: float) -> float:
    """Return the t that 5 % lie beyond, on both sides together."""
    low, high = 0.0, 1000.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if student_p_value(middle, degrees) > 0.05 else (low, middle)
    return low


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Return I_x(a, b)."""
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x)) if x < 1 else 0
    if x < (a + 1) / (a + b + 2):
        return front * _beta_fraction(a, b, x) / a
    return 1 - front * _beta_fraction(b, a, 1 - x) / b


def _beta_fraction(a: float, b: float, x: float) -> float:
    """Evaluate the continued fraction of I_x(a, b) by Lentz's method."""
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, 5000):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d, c = 1 / (1 + numerator * d), 1 + numerator / c
            value *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return value


def chi_square_p_value(chi_square: float, degrees: int) -> float:
    """Return the chance of a chi-square of at least this much."""
    a, x = degrees / 2, chi_square / 2
    if x == 0:
        return 1.0
    term = total = 1 / a
    for n in range(1, 5000):
        term *= x / (a + n)
        total += term
    return max(0.0, 1 - total * exp(a * log(x) - x - lgamma(a)))


def compared(sample: Sample, control: Sample) -> dict[str, float | None]:
    """Return the mart's comparisons of a variant with its control, by its names."""
    return {**_rates_compared(sample, control), **_means_compared(sample, control)}


def _rates_compared(sample: Sample, control: Sample) -> dict[str, float | None]:
    difference = sample.rate - control.rate
    pooled = (sample.converted + control.converted) / (sample.size + control.size)
    pooled_error = sqrt(pooled * (1 - pooled) * (1 / sample.size + 1 / control.size))
    error = sqrt(sum(s.rate * (1 - s.rate) / s.size for s in (sample, control)))
    score = difference / pooled_error if pooled_error else None
    found = {
        "conversion_difference": difference,
        "conversion_difference_low": difference - Z * error,
        "conversion_difference_high": difference + Z * error,
        "conversion_z_score": score,
        "conversion_p_value": None if score is None else normal_p_value(score),
    }
    errors = [(1 - s.rate) / s.converted if s.converted else None for s in (sample, control)]
    return {**found, **_ratio("conversion", sample.rate, control.rate, errors)}


def _means_compared(sample: Sample, control: Sample) -> dict[str, float | None]:
    squares = [s.mean_variance for s in (sample, control)]
    difference, error = sample.mean - control.mean, sqrt(sum(squares))
    found: dict[str, float | None] = {"revenue_difference_amount": difference}
    if error:
        degrees = sum(squares) ** 2 / sum(
            square**2 / (s.size - 1) for square, s in zip(squares, (sample, control), strict=True)
        )
        margin = student_quantile(degrees) * error
        found |= {
            "revenue_difference_low_amount": difference - margin,
            "revenue_difference_high_amount": difference + margin,
            "revenue_t_score": difference / error,
            "revenue_p_value": student_p_value(difference / error, degrees),
        }
    errors = [s.mean_variance / s.mean**2 if s.mean else None for s in (sample, control)]
    return {**found, **_ratio("revenue", sample.mean, control.mean, errors)}


def _ratio(
    name: str, value: float, base: float, errors: list[float | None]
) -> dict[str, float | None]:
    """Return an uplift with its interval; `errors` are the logarithms' squared errors."""
    known = [error for error in errors if error is not None]
    factor = exp(Z * sqrt(sum(known))) if len(known) == 2 else None
    ratio = value / base if base else None
    return {
        f"{name}_uplift_rate": None if ratio is None else ratio - 1,
        f"{name}_uplift_low_rate": ratio / factor - 1 if ratio and factor else None,
        f"{name}_uplift_high_rate": ratio * factor - 1 if ratio and factor else None,
    }
