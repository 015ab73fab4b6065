"""What a recommender does to a shop: lists with less of what is popular, a shop that learns from what it shows, and
what its log can tell about other lists."""
