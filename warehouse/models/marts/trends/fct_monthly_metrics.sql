{{ period_metrics("month") }}
