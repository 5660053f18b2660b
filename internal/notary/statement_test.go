package notary_test

import "github.com/gardeauth/garde/internal/store/sqlstore"

func statement(query string, args ...any) sqlstore.Statement {
	return sqlstore.Statement{Query: query, Args: args}
}
