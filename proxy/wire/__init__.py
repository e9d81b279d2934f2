"""How providers encode requests and answers: sans-IO readers of copies, never translators."""
