package demo

// ReadAmount lets the fuzzer in at the parser of foreign bytes.
var ReadAmount = readAmount

// What the clients ask for, to be held against the recipe.
const (
	MoveScope   = moveScope
	SignInScope = signInScope
	BudgetScope = budgetScope
)
