package gateway

import "pelton/schema"

// lineCodes are OpenAI's codes for what is wrong with the input of a batch, by
// Pelton's. The first six and what they mean are in OpenAI's guide to batches,
// section "Errors", and in Azure's page on batches, "Batch job error codes"; the
// others are those of OpenAI's errors of single requests. A problem that is in none
// of the rows keeps its code.
var lineCodes = []struct {
	code, field string // of the problem; an empty field is any
	whole       bool   // it is the file's, not a line's
	openai      string
}{
	{code: schema.ProblemJSON, openai: "invalid_json_line"},
	{code: schema.ProblemDuplicateID, openai: "duplicate_custom_id"},
	{code: schema.ProblemValue, field: "url", openai: "url_mismatch"},
	{code: schema.ProblemMissing, whole: true, openai: "empty_file"},
	{code: schema.ProblemTooLarge, whole: true, openai: codeTooManyTasks},
	{code: schema.ProblemMissing, openai: "missing_required_parameter"},
	{code: schema.ProblemUnknownField, openai: "unknown_parameter"},
	{code: schema.ProblemType, openai: "invalid_type"},
}

// codeTooManyTasks is of a file with more lines than a batch can have.
const codeTooManyTasks = "too_many_tasks"

// lineCode is the code of a problem in OpenAI's words.
func lineCode(p *schema.Problem) string {
	for _, row := range lineCodes {
		if row.code == p.Code && (row.field == "" || row.field == p.Field) && (!row.whole || p.Index < 0 && p.Field == "") {
			return row.openai
		}
	}
	return p.Code
}
