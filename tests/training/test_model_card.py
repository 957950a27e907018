from training.model_card import CardContent, Figure, write_card


def test_a_card_shows_the_model_beside_its_baselines():
    card = write_card(
        CardContent(
            figures=[
                Figure("recommender", 0.0708, 0.0512, 0.0931, recall_at_10=0.12, n_events=10_084),
                Figure("ease", 0.0513, 0.036, 0.074),
            ],
            slices={"cold items": [Figure("recommender", 0.042, 0.03, 0.05)]},
            split="Events after the 90 % quantile of time.",
            data={"hash": "abc", "rows": {"fct_interactions": 100_836}},
            text_encoder={"name": "minilm"},
            heads={"start of a session": {"item_item": 1.0, "trend": 0.25}, "inside": {"item_item": 1.0}},
            config={"seed": 0},
            git_commit="0a499de",
        )
    )
    assert card.startswith("# Freshet recommender\n\n")
    assert (
        "| recommender | 0.0708 [0.0512, 0.0931] | 0.1200 | 10,084 |\n| ease | 0.0513 [0.0360, 0.0740] |  |  |" in card
    )
    assert "## Quality: cold items\n\n| model |" in card
    assert "| moment | item_item | trend |" in card and "| inside | 1.00 | 0.00 |" in card
    assert "- rows.fct_interactions: `100836`" in card
    assert card.endswith("Code: `0a499de`\n")


def test_what_a_run_does_not_have_leaves_no_empty_heading():
    card = write_card(CardContent(figures=[Figure("recommender", 0.1, 0.0, 0.2)]))
    assert [line for line in card.splitlines() if line.startswith("## ")] == ["## Quality", "## Limits"]


def test_names_cannot_break_the_table():
    card = write_card(CardContent(figures=[Figure("a|b\nc", 0.1, 0.0, 0.2)], config={"note": "`x`\ny"}))
    assert "| a\\|b c | 0.1000" in card
    assert "- note: `'x' y`" in card
