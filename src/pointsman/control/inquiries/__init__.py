"""The inquiries of the admin process, and the items of control's answers: a file for each kind. `control.answers`
answers them."""
