package console

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	"landbridge/console/api"
)

func TestOrdersOnTheModeReachTheAppliance(t *testing.T) {
	f := &fake{mode: api.ModeStatus{Now: api.ModeSetup{Mode: api.ModeRouter, LanPort: "eth1"}}}
	client := serve(t, f)
	req := api.ModeRequest{Mode: "router", LanPort: "eth1", TimeoutSeconds: 5, Confirm: true, Operator: api.OperatorConnection{Local: "192.0.2.7", Remote: "198.51.100.9"}}
	plan, err := client.PlanModeWithResponse(t.Context(), req)
	if err != nil || plan.JSON200 == nil || plan.JSON200.To.LanPort != "eth1" || strings.Contains(string(plan.Body), "null") {
		t.Fatalf("plan: %v, %s", err, plan.Body)
	}
	set, err := client.SwitchModeWithResponse(t.Context(), req)
	if err != nil || set.JSON200 == nil || set.JSON200.Now.Mode != api.ModeRouter || len(f.switched) != 1 || !reflect.DeepEqual(f.switched[0], req) {
		t.Fatalf("switch: %v, %s, asked %+v", err, set.Body, f.switched)
	}
	shown, err := client.GetModeWithResponse(t.Context())
	if err != nil || shown.JSON200 == nil || strings.Contains(string(shown.Body), "null") || strings.Contains(string(shown.Body), "pending") {
		t.Errorf("mode: %v, %s", err, shown.Body)
	}
	confirmed, err := client.ConfirmModeWithResponse(t.Context())
	if err != nil || confirmed.JSON200 == nil {
		t.Errorf("confirm: %v, %s", err, confirmed.Body)
	}
	undone, err := client.RollbackModeWithResponse(t.Context())
	if err != nil || undone.JSON200 == nil {
		t.Errorf("rollback: %v, %s", err, undone.Body)
	}
}

func TestOrdersOnTheModeAreHeldToTheDocument(t *testing.T) {
	client := serve(t, &fake{})
	for field, req := range map[string]api.ModeRequest{
		"mode":           {},
		"lanPort":        {Mode: "router", LanPort: strings.Repeat("x", 16)},
		"timeoutSeconds": {Mode: "router", LanPort: "eth1", TimeoutSeconds: 86401},
		"operator.local": {Mode: "router", Operator: api.OperatorConnection{Local: strings.Repeat("1", 65)}},
	} {
		for name, ask := range map[string]func() (int, []api.FieldError, error){
			"plan": func() (int, []api.FieldError, error) {
				res, err := client.PlanModeWithResponse(t.Context(), req)
				return problem(res.StatusCode(), res.ApplicationProblemJSONDefault, err)
			},
			"switch": func() (int, []api.FieldError, error) {
				res, err := client.SwitchModeWithResponse(t.Context(), req)
				return problem(res.StatusCode(), res.ApplicationProblemJSONDefault, err)
			},
		} {
			status, fields, err := ask()
			if err != nil || status != http.StatusUnprocessableEntity || len(fields) != 1 || fields[0].Field != field {
				t.Errorf("%s with a bad %s: %d, %+v, %v", name, field, status, fields, err)
			}
		}
	}
}

func problem(status int, p *api.Problem, err error) (int, []api.FieldError, error) {
	if p == nil {
		return status, nil, err
	}
	return status, p.Errors, err
}
