#!/bin/sh
# Tokens, key sets, sealed text and secret references from the command line.
. "$(dirname "$0")/support.sh"
cd "$folder"
unset THREETEARS_DATASOURCE_SECRETS_DIR

# run_with FILE ARG...: as run, with standard input from a file.
run_with()
{
    input=$1
    shift
    ran="tears $* < $input"
    code=0
    "$tears" "$@" > "$out" 2> "$err" < "$input" || code=$?
}

# refuse_to_leak TEXT: it is in neither output.
refuse_to_leak()
{
    ! grep -q -F -e "$1" "$out" "$err" || fail "a secret was printed"
}

# The key whose seed is the bytes 00 to 1f, in three forms, and its public half.
seed=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8
public=A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg
thumbprint=1IG2tMH7J2wbJZnOf8LJzQitKf7LMvoAElsuDMVM54Y
echo "$seed" > hub.seed
printf -- '-----BEGIN PRIVATE KEY-----\n%s\n-----END PRIVATE KEY-----\n' \
    MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f > hub.pem
printf '{"kty":"OKP","crv":"Ed25519","d":"%s","x":"%s"}\n' "$seed" "$public" > hub.jwk
printf -- '-----BEGIN PUBLIC KEY-----\n%s\n-----END PUBLIC KEY-----\n' \
    MCowBQYDK2VwAyEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg= > hub.pub
head -c 32 /dev/urandom | base64 > other.seed
claims='iss=hub sub=a customer_id=c sid=s pod_id=p'

key_sets_are_made_of_keys_in_any_form()
{
    for form in seed pem jwk pub; do
        run jwks make "kid-1=hub.$form"
        expect 0
        expect_out '{"keys":[{"x":"'$public'","kty":"OKP","crv":"Ed25519","kid":"kid-1","use":"sig","alg":"EdDSA"}]}'
        refuse_to_leak "$seed"
    done
    run jwks make hub.pub --purpose identity
    expect 0 "\"kid\":\"$thumbprint\".*\"purpose\":\"identity\""
    cp "$out" jwks.json
    run jwks make a=hub.pub a=other.seed
    expect 4 'same name'
    run jwks make test_cli_security.sh
    expect 6
    run jwks make
    expect 2 'of which keys'
    run jwks make hub.pub --purpose theft
    expect 2 'identity or assertion'
    echo junk > junk
    run jwks make junk
    expect 4 'no Ed25519 key'
    run jwks mke hub.pub
    expect 2 'none of make, show, check'
}

key_sets_are_shown_and_checked()
{
    run jwks show jwks.json
    expect 0 "^$thumbprint	$thumbprint	identity\$"
    run jwks show jwks.json --json
    expect_out "{\"kid\":\"$thumbprint\",\"thumbprint\":\"$thumbprint\",\"identity\":true,\"assertion\":false}"
    run_with jwks.json jwks check
    expect 0 '^1 keys, all usable'
    printf '{"keys":[{"kty":"RSA","kid":"r"},{"x":"%s","kty":"OKP","crv":"Ed25519","kid":"k"}]}' "$public" > mixed.json
    run jwks show mixed.json
    expect 0 '1 entries are no keys'
    run jwks check mixed.json
    expect 4 '1 keys can be used, 1 entries cannot'
    printf '{"keys":[]}' > empty.json
    run jwks check empty.json
    expect 4 'no usable key'
    run jwks check junk --json
    expect 4 '"INVALID"'
}

tokens_are_minted_and_verified()
{
    for source in hub.seed hub.pem hub.jwk env://HUB_KEY; do
        # shellcheck disable=SC2086  # a list of claims
        HUB_KEY=$seed run token mint $claims --key "$source" --kid kid-1 iat=1700000000 exp=4102444800 user_id=u \
            cnf.jkt=$thumbprint conversation_id=conv-7
        expect 0
        # The reference's own token for these claims.
        expect_out eyJhbGciOiJFZERTQSIsImtpZCI6ImtpZC0xIiwidHlwIjoiSldUIn0.eyJpc3MiOiJodWIiLCJzdWIiOiJhIiwiY3VzdG9tZXJfaWQiOiJjIiwic2lkIjoicyIsInBvZF9pZCI6InAiLCJpYXQiOjE3MDAwMDAwMDAsImV4cCI6NDEwMjQ0NDgwMCwidXNlcl9pZCI6InUiLCJjbmYiOnsiamt0IjoiMUlHMnRNSDdKMndiSlpuT2Y4TEp6UWl0S2Y3TE12b0FFbHN1RE1WTTU0WSJ9LCJjb252ZXJzYXRpb25faWQiOiJjb252LTcifQ.FJIgPZQbSazM83Yb77SwBgazrxVozMeqP_CZeNH7o8rQHS5NKgMJG_pqUouioGhBkgnggdxDRbdgbkr2ee4aDQ
        refuse_to_leak "$seed"
    done
    run_with hub.seed token mint iss=hub sub=a customer_id=c sid=s pod_id=p --key - --ttl 60
    expect 0
    cp "$out" token
    run token verify token --jwks jwks.json --issuer hub --json
    expect 0
    same "$(fields sub customer_id)" 'a c'
    run_with token token verify --jwks jwks.json --issuer hub
    expect 0 '^sid	"s"$'
    run token mint iss=hub --key hub.seed --json
    expect 4 '"INVALID"'
}

tokens_that_cannot_be_trusted_are_refused()
{
    run token verify token --jwks jwks.json --issuer other
    expect 5 'issuer'
    run token verify token --jwks jwks.json --issuer hub --now 4102444800
    expect 5 'expired'
    run token verify token --jwks jwks.json --issuer hub --now 1700000000
    expect 5 'not valid yet'
    sed 's/\.[^.]*$/./' token > unsigned
    run token verify unsigned --jwks jwks.json --issuer hub
    expect 5 'malformed'
    refuse_to_leak "$(cut -d. -f2 < token)"
    "$tears" jwks make other.seed > others.json
    run token verify token --jwks others.json --issuer hub
    expect 1 'not in the key set'
    "$tears" jwks make hub.seed --purpose assertion > wrong.json
    run token verify token --jwks wrong.json --issuer hub
    expect 5 'another purpose'
}

tokens_are_looked_into()
{
    run token inspect token --json
    expect 0 '"verified":false'
    expect 0 '"sub":"a"'
    refuse_to_leak "$(cut -d. -f3 < token)"
    run_with unsigned token inspect
    expect 0 'not verified'
    printf 'eyJhIjoxfQ.eyJhIjoxfR.x' > bent # the last digit of the payload has bits that nobody wrote
    run token inspect bent
    expect 4 'no token'
    printf 'eyJhIjoxfQ.WzFd.x' > array
    run token inspect array
    expect 4
    run token inspect junk
    expect 4
    head -c 20000 /dev/zero | tr '\0' 'A' > large
    run token inspect large
    expect 4
}

what_is_wrong_is_said()
{
    run token
    expect 2
    run token forge
    expect 2 'none of mint, verify, inspect'
    run token mint iss=hub subject=a --key hub.seed
    expect 2 'no claim'
    run token mint iss=hub cid=a --key hub.seed
    expect 2 "did you mean 'sid'"
    run token mint iss --key hub.seed
    expect 2 'CLAIM=VALUE'
    run token mint iss=hub exp=soon --key hub.seed
    expect 2 'whole seconds'
    run token mint iss=hub
    expect 2 'which key'
    run token mint iss=hub --key hub.pub
    expect 4 'no Ed25519 private key'
    run token mint iss=hub --key "$seed"
    expect 6 'no such file'
    refuse_to_leak "$seed"
    run token verify token --issuer hub
    expect 2 'which keys'
    run token verify token --jwks jwks.json
    expect 2 'whose token'
}

text_is_sealed_and_opened()
{
    printf 'master key one, long enough\n' > one.key
    printf 'master key two, long enough' > two.key
    printf 'line\n\0binary' > text
    run_with text seal --key 1=one.key --context users/email/42
    expect 0
    refuse_to_leak line
    cp "$out" sealed
    run_with sealed open --key 1=one.key --context users/email/42
    expect 0
    cmp "$out" text || fail 'what was opened differs'
    run_with sealed open --key 2=two.key --key 1=one.key --context users/email/42
    expect 0
    # What a file's last newline is no part of, a reference's value is as it stands.
    ONE='master key one, long enough' run_with sealed open --key 1=env://ONE --context users/email/42
    expect 0
    run_with text seal --key two.key --json
    expect 0 '{"token":"Ag'
    run_with text seal --key two.key --v1
    expect 0 '^A[Q-Za-f]'
    cp "$out" sealed.v1
    run_with sealed.v1 open --key one.key --key 7=two.key
    expect 0
    cmp "$out" text || fail 'what was opened differs'
}

what_does_not_open_prints_nothing()
{
    run_with sealed open --key 1=one.key --context users/email/43
    expect 5
    expect_out ''
    run_with sealed open --key 1=two.key --context users/email/42
    expect 5
    run_with sealed open --key 2=one.key --context users/email/42
    expect 5
    run_with text open --key 1=one.key
    expect 6
    expect_out ''
    run_with text seal
    expect 2 'under which key'
    run_with text seal --key -
    expect 2 'standard input has the text'
    printf short > short.key
    run_with text seal --key short.key
    expect 4 'short'
    run_with text seal --key short.key --short-key
    expect 0
    run_with text seal --key 4294967296=one.key
    expect 2 'at most 4294967295'
    run_with text seal --key one.key --v1 --context x
    expect 2 'no context'
    run_with text seal --key one.key --key one.key
    expect 4
}

secrets_are_resolved_and_shown_only_when_asked()
{
    mkdir -p secrets/app
    printf 'p4ssw0rd\n' > secrets/app/password
    run secret resolve k8s://app/password --directory secrets
    expect 0 'a value of 9 bytes'
    refuse_to_leak p4ssw0rd
    run secret resolve k8s://app/password --directory secrets --show
    expect 0
    cmp "$out" secrets/app/password || fail 'the value differs'
    API_KEY=v4lue run secret resolve env://API_KEY --json
    expect_out '{"ok":true,"bytes":5}'
    API_KEY=v4lue run secret resolve env://API_KEY --show --json
    expect_out '{"value":"v4lue"}'
    run secret resolve k8s:///etc/hostname --directory secrets
    expect 5
    run secret resolve k8s://../hub.seed --directory secrets
    expect 5
    run secret resolve env://NOT_SET_ANYWHERE
    expect 1
    run secret resolve hunter2-hunter2
    expect 4
    refuse_to_leak hunter2
    run secret check env://ANY_NAME
    expect 0
    run secret check nowhere://x
    expect 4
    run secret tell env://ANY_NAME
    expect 2 'none of resolve, check'
}

key_sets_are_made_of_keys_in_any_form
key_sets_are_shown_and_checked
tokens_are_minted_and_verified
tokens_that_cannot_be_trusted_are_refused
tokens_are_looked_into
what_is_wrong_is_said
text_is_sealed_and_opened
what_does_not_open_prints_nothing
secrets_are_resolved_and_shown_only_when_asked
