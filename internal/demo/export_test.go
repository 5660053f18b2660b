package demo

// ReadTransfer and ReadAmount let the fuzzers in at the parsers of foreign bytes.
var (
	ReadTransfer = readTransfer
	ReadAmount   = readAmount
)

// What the clients ask for, to be held against the recipe.
const (
	MoveScope   = moveScope
	SignInScope = signInScope
	BudgetScope = budgetScope
)
