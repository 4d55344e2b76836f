{{ period_metrics("week") }}
