package golden

// Added is what chunks add up to.
func Added(chunks []Object) Object {
	sum := Object{"content": ""}
	calls := map[float64]Object{}
	var order []float64
	for _, chunk := range chunks {
		if usage, ok := chunk["usage"].(Object); ok {
			plainUsage(usage)
			sum["usage"] = usage
		}
		choices, _ := chunk["choices"].([]any)
		for _, choice := range choices {
			choice := choice.(Object)
			if reason := choice["finish_reason"]; reason != nil {
				sum["finish_reason"] = reason
			}
			delta, ok := choice["delta"].(Object)
			if !ok {
				delta = choice["message"].(Object)
			}
			addTexts(sum, delta)
			order = addCalls(calls, order, delta)
		}
	}
	var all []any
	for _, index := range order {
		if calls[index]["arguments"] == "" { // LiteLLM's stream of a call without input ends with no JSON
			calls[index]["arguments"] = "{}"
		}
		all = append(all, calls[index])
	}
	sum["tool_calls"] = all
	return sum
}

// addTexts adds the texts of a delta.
func addTexts(sum, delta Object) {
	add := func(as string, piece any) {
		if text, _ := piece.(string); text != "" {
			before, _ := sum[as].(string)
			sum[as] = before + text
		}
	}
	add("content", delta["content"])
	add("reasoning_content", delta["reasoning_content"])
	blocks, _ := delta["thinking_blocks"].([]any)
	for _, block := range blocks {
		add("block thinking", block.(Object)["thinking"])
		add("block signature", block.(Object)["signature"])
	}
}

// addCalls adds the calls of a delta, in the order in which they began.
func addCalls(calls map[float64]Object, order []float64, delta Object) []float64 {
	pieces, _ := delta["tool_calls"].([]any)
	for i, piece := range pieces {
		piece := piece.(Object)
		index, ok := piece["index"].(float64)
		if !ok {
			index = float64(i)
		}
		function := piece["function"].(Object)
		arguments, _ := function["arguments"].(string)
		if calls[index] == nil {
			calls[index] = Object{"id": piece["id"], "name": function["name"], "arguments": arguments}
			order = append(order, index)
		} else {
			calls[index]["arguments"] = calls[index]["arguments"].(string) + arguments
		}
	}
	return order
}
