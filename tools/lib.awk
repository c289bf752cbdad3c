# Shared by the checks: the code of a line of C, with comments and the insides of literals blanked.
# `in_comment` carries over from line to line; set it to 0 at the start of each file.
function code_of(line,    out, rest, quote, c, i, n)
{
    out = ""
    n = length(line)
    quote = ""
    for (i = 1; i <= n; i++) {
        c = substr(line, i, 1)
        rest = substr(line, i, 2)
        if (in_comment) {
            if (rest == "*/") {
                in_comment = 0
                i++
            }
        } else if (quote != "") {
            if (c == "\\")
                i++
            else if (c == quote) {
                quote = ""
                out = out c
            }
        } else if (rest == "/*") {
            in_comment = 1
            out = out " "
            i++
        } else if (rest == "//") {
            break
        } else {
            if (c == "\"" || c == "'")
                quote = c
            out = out c
        }
    }
    return out
}
