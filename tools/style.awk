# What check_style.sh looks for; read after lib.awk.
function complain(line, text) { print FILENAME ":" line ": " text; failed = 1 }
function warn(line, text) { print FILENAME ":" line ": warning: " text }

# The number of parameters of a function whose signature is `text`.
function parameters(text,    i, c, depth, commas)
{
    sub(/^[^(]*\(/, "", text)
    depth = 1
    commas = 0
    for (i = 1; i <= length(text) && depth > 0; i++) {
        c = substr(text, i, 1)
        if (c == "(")
            depth++
        else if (c == ")")
            depth--
        else if (c == "," && depth == 1)
            commas++
    }
    return commas + 1
}

FNR == 1 {
    if (last_file != "" && last_lines > 900)
        print last_file ": warning: " last_lines " lines"
    last_file = FILENAME
    in_comment = 0
    start = 0
    signature = ""
    base = FILENAME
    sub(/.*\//, "", base)
    if ($0 != "/*")
        complain(1, "does not open with a comment that says what the file is")
}
FNR == 2 && index($0, " * " base " -- ") != 1 { complain(2, "the opening line should be: " base " -- ...") }
{
    last_lines = FNR
    code = code_of($0)
}
/^\{/ {
    start = FNR
    uses_auto = uses_goto = 0
    if (signature ~ /\(/ && parameters(signature) > 5)
        warn(FNR, "more than 5 parameters:" substr(signature, 1, 70))
}
start && code ~ /T3_AUTO *\(/ { uses_auto = 1 }
start && code ~ /(^|[^A-Za-z0-9_])goto[ \t]/ { uses_goto = 1 }
/^\}/ {
    if (start && FNR - start - 1 > 70)
        complain(start, "function of " FNR - start - 1 " lines; the limit is 70:" substr(signature, 1, 70))
    if (start && uses_auto && uses_goto)
        complain(start, "goto and T3_AUTO in one function")
    start = 0
    signature = ""
}
!start {
    if (code ~ /^[ \t]*(#|$)/ || code ~ /[;}]/)
        signature = ""
    else
        signature = signature " " code
}
END { exit failed }
